-- The provider to whom a host belongs, by the ends of known ones (_store/providers.py); '' for any other.
--
-- host: the host after a full stop, in lower case
if(@host = '.', '', arrayFirst((provider, end) -> endsWith(@host, end), [
    'openrouter', 'openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.openai', 'azure.ai.inference',
    'azure.ai.inference', 'azure.ai.inference', 'anthropic', 'aws.bedrock', 'aws.bedrock', 'aws.bedrock', 'gcp.gemini',
    'gcp.vertex_ai', 'groq', 'together_ai', 'together_ai', 'fireworks_ai', 'deepseek', 'mistral_ai', 'mistral_ai', 'x_ai',
    'perplexity', 'cohere', 'cohere', 'cerebras', 'moonshot_ai', 'moonshot_ai', 'z_ai', 'zhipu_ai', 'minimax', 'minimax',
    'minimax', 'novita', 'github_copilot', 'voyage_ai', 'databricks', 'databricks', 'databricks', 'cloudflare', 'baseten',
    'ovhcloud', 'deepinfra', 'sambanova', 'nebius', 'nebius', 'nebius', 'hyperbolic', 'alibaba_cloud', 'siliconflow',
    'siliconflow', 'volcengine', 'nvidia', 'replicate', 'huggingface', 'huggingface', 'github_models', 'ibm.watsonx.ai',
    'ollama_cloud'
], [
    '.openrouter.ai', '.api.openai.com', '.openai.azure.com', '.openai.azure.us', '.cognitiveservices.azure.com',
    '.azure-api.net', '.services.ai.azure.com', '.models.ai.azure.com', '.inference.ai.azure.com', '.api.anthropic.com',
    '.amazonaws.com', '.amazonaws.com.cn', '.api.aws', '.generativelanguage.googleapis.com', '.googleapis.com', '.api.groq.com',
    '.api.together.xyz', '.api.together.ai', '.api.fireworks.ai', '.api.deepseek.com', '.api.mistral.ai',
    '.codestral.mistral.ai', '.api.x.ai', '.api.perplexity.ai', '.api.cohere.com', '.api.cohere.ai', '.api.cerebras.ai',
    '.api.moonshot.ai', '.api.moonshot.cn', '.api.z.ai', '.open.bigmodel.cn', '.api.minimax.io', '.api.minimax.chat',
    '.api.minimaxi.com', '.api.novita.ai', '.githubcopilot.com', '.api.voyageai.com', '.cloud.databricks.com',
    '.azuredatabricks.net', '.gcp.databricks.com', '.api.cloudflare.com', '.inference.baseten.co', '.cloud.ovh.net',
    '.api.deepinfra.com', '.api.sambanova.ai', '.api.studio.nebius.ai', '.api.studio.nebius.com', '.api.tokenfactory.nebius.com',
    '.api.hyperbolic.xyz', '.aliyuncs.com', '.api.siliconflow.cn', '.api.siliconflow.com', '.volces.com',
    '.integrate.api.nvidia.com', '.api.replicate.com', '.router.huggingface.co', '.api-inference.huggingface.co',
    '.models.github.ai', '.ml.cloud.ibm.com', '.ollama.com'
]))
